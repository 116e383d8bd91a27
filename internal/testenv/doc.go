// Package testenv is what tests need of the machine that they run on: programs, and
// ports. No product code may import it.
package testenv
