package push

// Deliver sends what Run would.
var Deliver = (*Push).send
