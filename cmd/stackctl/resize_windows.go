package main

// resizes is nil: Windows sends no signal when a console changes its size.
var resizes func() (changes <-chan struct{}, stop func())
