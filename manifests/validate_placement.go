package manifests

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// placement checks constraints and roles.
func (v *appChecks) placement(a *App) {
	for _, c := range a.Constraints {
		v.constraint("/constraints", c, v.c)
	}
	persistent, _ := volumeKinds(a)
	v.roles(KindApp, a.ID, a.Role, a.AcceptedResourceRoles, "/acceptedResourceRoles", persistent, v.c)
}

var operators = []string{"UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "UNLIKE", "MAX_PER", "IS"}

func isOperator(op string) bool { return slices.Contains(operators, op) }

// parts is the constraint as apps write it.
func (c Constraint) parts() []string {
	parts := []string{c.Field, c.Operator}
	if c.Value != nil {
		parts = append(parts, *c.Value)
	}
	return parts
}

var isValuePattern = regexp.MustCompile(`^[a-zA-Z0-9_/.-]*$`)

// constraint checks one constraint of an app or a pod (SchedulingValidation;
// recorded). It upper-cases the operator, with which Marathon fails in lower case.
func (v *findings) constraint(path string, c Constraint, cluster *Cluster) {
	op := strings.ToUpper(c.Operator)
	whole := strings.Join(c.parts(), ", ")
	switch {
	case c.Field == "":
		v.refuse(path, "illegal constraint specification", "constraint [%s]: the field is empty: write hostname, or an attribute of the agents", whole)
		return
	case !isOperator(op):
		v.refuse(path, "operator must be one of the following UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER, UNLIKE or IS",
			"constraint [%s]: %q is no operator: write one of %s", whole, c.Operator, strings.Join(operators, ", "))
		return
	case op == "IS" && cluster.release() < release16:
		v.mistake(path, "constraint [%s]: IS needs Marathon %s or newer, this one is %s: use CLUSTER or LIKE", whole, release16, cluster.Version)
		return
	case op != c.Operator:
		v.add(Violation{Path: path, Warning: true, Status: 500, Answer: "illegal constraint specification " + strings.Join(c.parts(), ","),
			Message: fmt.Sprintf("constraint [%s]: write the operator as %s, since Marathon fails on lower case; Pacer sends it so", whole, op)})
	}
	v.constraintValue(path, op, c.Value, whole)
}

// constraintValue checks what the operator wants of the value.
func (v *findings) constraintValue(path, op string, value *string, whole string) {
	given := value != nil
	switch op {
	case "UNIQUE":
		if given {
			v.refuse(path, "UNIQUE does not accept a value", "constraint [%s]: UNIQUE has no value", whole)
		}
	case "GROUP_BY":
		v.groupBy(path, value, whole)
	case "MAX_PER":
		if !given || !isInteger(*value) {
			v.refuse(path, "MAX_PER requires an integer value", "constraint [%s]: MAX_PER needs a whole number, as a string", whole)
		}
	case "LIKE", "UNLIKE":
		if !given {
			v.refuse(path, "LIKE and UNLIKE require a non-empty, regular expression value", "constraint [%s]: %s needs a regular expression", whole, op)
		} else if !isRegexp(*value) {
			v.refuse(path, "is not a valid regular expression", "constraint [%s]: %q is no regular expression", whole, *value)
		}
	case "IS":
		if given && !isValuePattern.MatchString(*value) {
			v.refuse(path, "IS only supports Mesos text and float values (see http://mesos.apache.org/documentation/latest/attributes-resources/)",
				"constraint [%s]: the value of IS consists of letters, digits and _ / . -", whole)
		}
	}
}

const groupByHint = "write the number of groups, as a string"

func (v *findings) groupBy(path string, value *string, whole string) {
	switch {
	case value == nil || *value == "0":
		v.mistake(path, "constraint [%s]: GROUP_BY without a number of groups was seen to stop Marathon from launching anything at all (it divides by zero): %s", whole, groupByHint)
	case !isInteger(*value):
		v.refuse(path, "GROUP BY must define an integer value or else no value at all", "constraint [%s]: %s", whole, groupByHint)
	}
}

func isInteger(s string) bool {
	_, err := strconv.ParseInt(s, 10, 32)
	return err == nil
}

// roles checks the role and the accepted roles of an app or pod
// (RoleSettings.forService, ResourceRole).
func (v *findings) roles(what Kind, id string, role *string, accepted []string, path string, resident bool, c *Cluster) {
	own := role
	if own == nil {
		own = c.defaultRole(id)
	}
	if valid := c.validRoles(id); c.release() >= release19 && role != nil && !slices.Contains(valid, *role) && c.KeptRoles[id] != *role {
		v.refuse("/role", "got "+*role+", expected one of: ["+strings.Join(valid, ", ")+"]", "the role is %q: Marathon takes %s", *role, strings.Join(valid, " or "))
	}
	if accepted == nil {
		return
	}
	if len(accepted) == 0 {
		v.refuse(path, "must not be empty", "%s is empty: name a role, or leave it out", last(path))
		return
	}
	for _, r := range accepted {
		if answer := badRole(r); answer != "" {
			v.refuse(path, answer, "%s has %q, which is no role", last(path), r)
		}
	}
	allowed := sortedSet([]string{"*", *own})
	if slices.ContainsFunc(accepted, func(r string) bool { return !slices.Contains(allowed, r) }) && c.release() >= release110 {
		v.refuse(path, "acceptedResourceRoles can only contain "+strings.Join(allowed, " and "), "%s has a role other than * and the %s's own, which is %s", last(path), what, *own)
	}
	if set := sortedSet(accepted); resident && (len(set) != 1 || set[0] != "*") {
		v.refuse(path, "A resident "+string(what)+" must have `acceptedResourceRoles = [\"*\"]`.", `%s of %s with persistent volumes is ["*"] or absent`, last(path), article(what))
	}
}

// validRoles are those that Marathon takes for an id, in the order in which it
// names them.
func (c *Cluster) validRoles(id string) []string {
	mesos := c.MesosRole
	if mesos == "" {
		mesos = *anyRole
	}
	top, nested := topLevel(id)
	switch {
	case !nested:
		return []string{mesos}
	case c.enforces(top):
		return []string{top[1:]}
	case top[1:] == mesos:
		return []string{mesos}
	}
	return []string{mesos, top[1:]}
}

func badRole(r string) string {
	switch {
	case r == "", r == ".", r == "..":
		return fmt.Sprintf("A role name must not be %q.", r)
	case strings.HasPrefix(r, "-"):
		return "A role name must not start with a '-'."
	case strings.ContainsAny(r, "\t\n\v\f\r /\x7f"):
		return "A role name must not include a space (\\x20) character."
	}
	return ""
}

// secrets checks references to secrets (EnvVarValidation, SecretValidation).
func (v *appChecks) secrets(a *App) {
	v.secretRefs("/env", a.Env, a.Secrets, v.c)
	v.secretDefs(a.Secrets, v.c)
}

func (v *findings) secretDefs(secrets map[string]Secret, c *Cluster) {
	if len(secrets) > 0 {
		v.needs(c, "/secrets", "secrets", "secrets")
	}
}

func (v *findings) secretRefs(path string, env map[string]EnvValue, secrets map[string]Secret, c *Cluster) {
	off := false
	for _, name := range sortedKeys(env) {
		if name == "" {
			v.refuse(path, "must not be empty", "%s has a variable without a name", last(path))
		}
		e := env[name]
		if !e.isSecret() {
			continue
		}
		off = off || !c.has("secrets")
		if _, known := secrets[e.Secret]; !known {
			v.refuse(path+"/"+name+"/secret", "references an undefined secret", "%s refers to the secret %q, which is not in secrets", name, e.Secret)
		}
	}
	if off {
		v.refuse(path, "use of secret-references in the environment requires the secrets feature to be enabled",
			"%s refers to a secret: that needs Marathon's feature secrets, which is off: start Marathon with --enable_features secrets", last(path))
	}
}
