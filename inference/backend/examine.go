package backend

// Finding is one thing that was found out about a kind of device, without opening
// one, for people who ask what a host can do.
type Finding struct {
	Subject string // a word or two
	Grade   Grade
	Text    string
	Advice  string // what to do about it, or ""
}

// Grade says how bad a finding is.
type Grade string

const (
	Good Grade = "ok"
	Weak Grade = "weak" // computes, but slower or with less safety
	Bad  Grade = "bad"  // cannot compute
)

var examines = map[string]func(index int) []Finding{}

// RegisterExamine adds what a kind of device tells of itself where opening one
// would say too little; index is the device that is meant to be used.
func RegisterExamine(kind string, examine func(index int) []Finding) { examines[kind] = examine }

// Examine looks at a kind of device; ok is false if all there is to know comes
// from opening it.
func Examine(kind string, index int) (all []Finding, ok bool) {
	examine, ok := examines[kind]
	if !ok {
		return nil, false
	}
	return examine(index), true
}
