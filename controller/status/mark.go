package status

// Mark is the sign of an app's state in a terminal, so that it can be seen without
// colour.
func (a App) Mark() string {
	marks := map[Condition]string{InRollout: "…", Failed: "✘", Blocked: "!", Broken: "!"}
	if mark := marks[a.Condition]; mark != "" {
		return mark
	}
	if a.State == Synced && a.IsUnhealthy() {
		return "…"
	}
	return map[State]string{Synced: "✔", OutOfSync: "~", Unknown: "?"}[a.State]
}

// IsUnhealthy reports whether an app is known not to be healthy. It may be synced all
// the same, as between two reconciliations during one rollout.
func (a App) IsUnhealthy() bool {
	switch a.Health {
	case HealthProgressing, HealthDegraded, HealthMissing:
		return true
	}
	return false
}
