package main

// The command.
var commandMutants = []mutant{}
