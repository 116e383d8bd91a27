// Package manifests is the pure core of Pacer's understanding of Marathon: it
// reads manifests out of a file tree, checks them, and brings apps, pods and
// groups into one normal form, so that desired and live can be compared as
// values.
//
// Reading. A Reader turns the files of a snapshot into a Desired: bytes become
// nodes with places (json.go, yaml.go), names in ${…} are substituted, nodes
// become apps, pods and groups that are decoded and checked one by one
// (definition.go), and all together are checked for what shows only side by side
// (set.go). What is wrong is a Problem with its place, and what is not known is
// marked: Broken where the id is known, Unreadable where it is not.
//
// Substitution. In every string value, never in keys, ${NAME} is replaced for the
// names in Options.Substitute and for no others, so that $HOME and ${HOME} stay
// for the shell; $${NAME} stands for a literal ${NAME}. The result is text, never
// a number, and is not looked at again.
//
// Values in, values out: nothing here reads a clock, a disk, a network or a
// log, and nothing starts a goroutine. A snapshot comes in as an fs.FS, facts
// about a Marathon as a Cluster. What is done with the result lives elsewhere:
// controller/plan compares, controller/apply acts.
package manifests
