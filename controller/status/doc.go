// Package status is what is shown of syncs and apps: types that the page, the API and
// the command line read, and the judgements that fill them from values. How an app
// stands (State, Health, Condition, and why) is decided here and nowhere else.
//
// It reads no Marathon and no clock, and starts nothing: a reconciliation, or a newer
// state of Marathon, brings the values. What a plan or a rollout is judged by is in
// plan and apply.
package status
