package state

import "time"

// RateLimiter holds the launches of run specs back after failures. Source:
// Marathon's RateLimiter.
type RateLimiter map[string]*delay

// delay holds the launches of one configuration back.
type delay struct {
	generation int
	length     time.Duration
	since      time.Time // of the failure, or of what a task has reached since
	most       time.Duration
}

// of is the delay of a spec's launches; nil: there is none. It is forgotten, so
// that the next failure is the first one again, where nothing has happened for
// the longest delay.
func (l RateLimiter) of(s *RunSpec, now time.Time) *delay {
	d := l[s.ID]
	if d == nil || d.generation != s.Generation || now.Sub(d.since) > d.most {
		return nil
	}
	return d
}

// Failed delays the next launch of a spec one of whose tasks ended by itself.
func (l RateLimiter) Failed(s *RunSpec, now time.Time) {
	first, factor, most := s.backoff()
	length := min(first, most)
	if d := l.of(s, now); d != nil {
		length = min(time.Duration(float64(d.length)*factor), most)
	}
	l[s.ID] = &delay{generation: s.Generation, length: length, since: now, most: most}
}

// Progressed begins a delay again, as Marathon does whenever a task of the spec
// comes further: so a task must run for maxLaunchDelay until its failures are
// forgotten.
func (l RateLimiter) Progressed(s *RunSpec, now time.Time) {
	if d := l.of(s, now); d != nil {
		d.since = now
	}
}

// Left is how long launches of a spec are held back; below 0: so long ago that
// ended. Without a delay delayed is false.
func (l RateLimiter) Left(s *RunSpec, now time.Time) (left time.Duration, delayed bool) {
	d := l.of(s, now)
	if d == nil {
		return 0, false
	}
	return d.since.Add(d.length).Sub(now), true
}
