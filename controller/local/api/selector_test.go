package api

import "testing"

func TestLabelsAreSelectedAsMarathonDoes(t *testing.T) {
	labels := map[string]string{"a/b": "c d", "x": "1"}
	for text, want := range map[string]bool{
		"": true, " ": true, `a\/b`: true, `a\/b==c\ d`: true, `a\/b != c`: true, "x in ( 1 , 2 )": true, "x notin ()": true, "x in ()": false,
		"x==1,y": false, "x , x!=2": true, "inner": false,
	} {
		s, err := parseSelector(text)
		if err != nil || s.matches(labels) != want {
			t.Errorf("%q selects: %v %v", text, !want, err)
		}
	}
	for _, text := range []string{"a/b", "x=1", "x==", "x in", "x in (1", "x in (1 2)", ",", "x,", "(", `\`} {
		if s, err := parseSelector(text); err == nil {
			t.Errorf("%q is read as %v", text, s)
		}
	}
}
