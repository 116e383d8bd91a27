package manifests

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// placement checks constraints and roles.
func (v *appChecks) placement(a *App) {
	for i, c := range a.Constraints {
		before := len(v.found)
		v.constraint("/constraints", c, v.c)
		v.place(before, "/constraints("+strconv.Itoa(i)+")")
	}
	persistent, _ := volumeKinds(a)
	v.role(a.ID, a.Role, v.c)
	v.acceptedRoles(KindApp, a.AcceptedResourceRoles, persistent)
	v.acceptedOfRole(KindApp, a.AcceptedResourceRoles, value(a.Role, v.c.defaultRole(a.ID)), a.Role == nil && v.c.roleByFlag(a.ID), v.c)
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
// recorded).
func (v *findings) constraint(path string, c Constraint, cluster *Cluster) {
	op := strings.ToUpper(c.Operator)
	whole := strings.Join(c.parts(), ", ")
	switch {
	case c.Field == "":
		v.refuse(path, "illegal constraint specification", "constraint [%s]: the field is empty: write hostname, or an attribute of the agents", whole)
		return
	case !isOperator(op):
		v.refuse(path, "operator must be one of the following UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER, UNLIKE or IS",
			"constraint [%s]: %q is not an operator: write one of %s", whole, c.Operator, strings.Join(operators, ", "))
		return
	case op == "IS" && cluster.release() < release16:
		v.mistake(path, "constraint [%s]: IS needs Marathon %s or newer, this one is %s: use CLUSTER or LIKE", whole, release16, cluster.Version)
		return
	}
	v.constraintValue(path, op, c.Value, whole, cluster)
}

// constraintValue checks what the operator wants of the value.
func (v *findings) constraintValue(path, op string, value *string, whole string, cluster *Cluster) {
	given := value != nil
	switch op {
	case "UNIQUE":
		if given {
			v.refuse(path, "UNIQUE does not accept a value", "constraint [%s]: UNIQUE has no value", whole)
		}
	case "GROUP_BY":
		v.groupBy(path, value, whole, cluster)
	case "MAX_PER":
		if !given || !isInteger(*value) {
			v.refuse(path, "MAX_PER requires an integer value", "constraint [%s]: MAX_PER needs a whole number, as a string", whole)
		}
	case "LIKE", "UNLIKE":
		if !given {
			v.refuse(path, "LIKE and UNLIKE require a non-empty, regular expression value", "constraint [%s]: %s needs a regular expression", whole, op)
		} else if len(*value) > maxRegexp {
			v.mistake(path, "constraint [%s]: the regular expression has %d bytes: at most %d are allowed", clip(whole), len(*value), maxRegexp)
		} else if !v.isRegexp(*value) {
			v.refuse(path, "is not a valid regular expression", "constraint [%s]: %q is not a regular expression", whole, *value)
		}
	case "IS":
		if given && !isValuePattern.MatchString(*value) {
			v.refuse(path, "IS only supports Mesos text and float values (see http://mesos.apache.org/documentation/latest/attributes-resources/)",
				"constraint [%s]: the value of IS consists of letters, digits and _ / . -", whole)
		}
	}
}

const groupByHint = "write the number of groups, as a string"

// groupBy: Marathon reads no number as 0, and divides by it since 1.10
// (Constraints.checkGroupBy; measured on 1.11.26).
func (v *findings) groupBy(path string, value *string, whole string, c *Cluster) {
	groups, wrong := 0, error(nil)
	if value != nil {
		groups, wrong = strconv.Atoi(*value)
	}
	switch {
	case value != nil && !isInteger(*value) || wrong != nil:
		v.refuse(path, "GROUP BY must define an integer value or else no value at all", "constraint [%s]: %s", whole, groupByHint)
	case groups <= 0 && c.release() < release110:
		v.warn(path, "constraint [%s]: GROUP_BY without a number of groups stops Marathon %s and newer from launching anything at all: %s", whole, release110, groupByHint)
	case groups <= 0:
		v.mistake(path, "constraint [%s]: GROUP_BY without a number of groups was seen to stop Marathon from launching anything at all (it divides by zero): %s", whole, groupByHint)
	}
}

func isInteger(s string) bool {
	_, err := strconv.ParseInt(s, 10, 32)
	return err == nil
}

// role checks the role of an app or pod (RoleSettings.forService).
func (v *findings) role(id string, role *string, c *Cluster) {
	if c.release() >= release19 && role != nil && !c.takesRole(id, *role) {
		if c.roleByFlag(id) {
			v.byFlag("/role", "the role "+strconv.Quote(clip(*role)), "--mesos_role "+clip(*role))
			return
		}
		valid := c.validRoles(id)
		v.refuse("/role", "got "+*role+", expected one of: ["+strings.Join(valid, ", ")+"]", "the role is %q: Marathon takes %s", *role, strings.Join(valid, " or "))
	}
}

const acceptedPath = "/acceptedResourceRoles"

// acceptedRoles checks accepted roles by themselves
// (ResourceRole.validAcceptedResourceRoles).
func (v *findings) acceptedRoles(what Kind, accepted []string, resident bool) {
	if accepted == nil {
		return
	}
	if len(accepted) == 0 {
		v.refuse(acceptedPath, "must not be empty", "acceptedResourceRoles is empty: name a role, or leave it out")
	}
	for _, r := range accepted {
		v.roleName(acceptedPath, r)
	}
	if set := sortedSet(accepted); resident && (len(set) != 1 || set[0] != "*") {
		v.refuse(acceptedPath, "A resident "+string(what)+" must have `acceptedResourceRoles = [\"*\"]`.", `acceptedResourceRoles of %s with persistent volumes is ["*"] or absent`, article(what))
	}
}

// acceptedOfRole checks accepted roles beside the role (ResourceRole.validForRole),
// which may be what a flag says that is not known.
func (v *findings) acceptedOfRole(what Kind, accepted []string, own string, byFlag bool, c *Cluster) {
	others := slices.DeleteFunc(slices.Clone(sortedSet(accepted)), func(r string) bool { return r == "*" })
	if byFlag && len(others) == 1 {
		v.byFlag(acceptedPath, "the accepted role "+strconv.Quote(clip(others[0])), "--mesos_role "+clip(others[0]))
		return
	}
	allowed := sortedSet([]string{"*", own})
	if kept := c.acceptedRoles(accepted, &own); len(kept) < len(sortedSet(accepted)) {
		v.warn(acceptedPath, "Marathon %s takes out of acceptedResourceRoles what is neither * nor the %s's own role, which is %s: remove it", c.Version, what, own)
		if len(kept) == 0 && what == KindApp {
			v.fail(acceptedPath, "acceptedResourceRoles is invalid. Valid values are "+quotedRoles(own)+".", "acceptedResourceRoles has nothing that Marathon %s leaves there: write * or %s", c.Version, own)
		}
	}
	if slices.ContainsFunc(accepted, func(r string) bool { return !slices.Contains(allowed, r) }) && c.release() >= release110 {
		v.refuse(acceptedPath, "acceptedResourceRoles can only contain "+strings.Join(allowed, " and "), "acceptedResourceRoles has a role other than * and the %s's own, which is %s", what, own)
	}
}

// quotedRoles is AppNormalization.validAcceptedResourceRoleValues.
func quotedRoles(own string) string {
	if own == "*" {
		return `["*"]`
	}
	return fmt.Sprintf(`["*"], [%[1]q], or ["*", %[1]q]`, own)
}

// takesRole reports whether Marathon takes a role for an id: a valid one, or in
// a group the one that is live.
func (c *Cluster) takesRole(id, role string) bool {
	_, nested := topLevel(id)
	return slices.Contains(c.validRoles(id), role) || nested && c.KeptRoles[id] == role
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

// roleName checks the name of a role (ResourceRole.validResourceRole).
func (v *findings) roleName(path, role string) {
	refuse := func(path, answer string) {
		v.refuse(path, answer, "%s has %q, which is not a role", last(trimIndex(path)), role)
	}
	switch {
	case role == "", role == ".", role == "..":
		refuse(path, fmt.Sprintf("A role name must not be %q.", role))
	case strings.HasPrefix(role, "-"):
		refuse(path, "A role name must not start with a '-'.")
	}
	for i, r := range utf16.Encode([]rune(role)) {
		if name := notInRoles[r]; name != "" {
			refuse(path+"("+strconv.Itoa(i)+")", "A role name must not include a "+name+" character.")
		}
	}
}

var notInRoles = map[uint16]string{
	'\t': `horizontal tab (\x09)`, '\n': `line feed (\x0a)`, '\v': `vertical tab (\x0b)`, '\f': `form feed (\x0c)`,
	'\r': `carriage return (\x0d)`, ' ': `space (\x20)`, '/': `slash (\x2f)`, 0x7f: `backspace (\x7f)`,
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
	if _, unnamed := secrets[""]; unnamed && (c.has("secrets") || c.FlagsUnknown) {
		v.refuse("/secrets/keys(0)", "must not be empty", "secrets has an entry without a name")
	}
}

func (v *findings) secretRefs(path string, env map[string]EnvValue, secrets map[string]Secret, c *Cluster) {
	off := false
	if _, unnamed := env[""]; unnamed {
		v.refuse(path+"/keys(0)", "must not be empty", "%s has a variable without a name", last(path))
	}
	for _, name := range sortedKeys(env) {
		e := env[name]
		if !e.isSecret() {
			continue
		}
		off = off || !c.has("secrets")
		if _, known := secrets[e.Secret]; !known {
			v.refuse(path+"/"+name+"/secret", "references an undefined secret", "%s refers to the secret %q, which is not in secrets", name, e.Secret)
		}
	}
	switch {
	case off && c.FlagsUnknown:
		v.needs(c, path, "secrets", last(path)+" with a secret")
	case off:
		v.refuse(path, "use of secret-references in the environment requires the secrets feature to be enabled",
			"%s refers to a secret: that needs Marathon's feature secrets, which is off: start Marathon with --enable_features secrets", last(path))
	}
}
