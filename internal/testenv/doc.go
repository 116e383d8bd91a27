// Package testenv is what tests need of the machine that they run on: programs, ports,
// and processes that end with them; and the only place where a test is skipped. No product code may import it.
package testenv
