// Package testenv is what tests need of the machine that they run on: programs, and
// ports; and the only place where a test is skipped. No product code may import it.
package testenv
