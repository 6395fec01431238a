package main

// Stores: bolt, and what storetest must see.
var storeMutants = []mutant{}
