package limiter

// ListPage is how many ids IDs asks for at once.
const ListPage = listPage
