package driver

import (
	"reflect"
	"testing"
)

// Every method of the interface, a new one too, asks Fail with its own name; an
// error ends it there, else the same method is called behind it.
func TestInjectorCoversEveryCall(t *testing.T) {
	var asked string
	i := &Injector{Fail: func(method string) error {
		asked = method
		return NewError(method, CodeLaunchFailed)
	}}
	outer := &Injector{Driver: i, Fail: func(string) error { return nil }}
	kind := reflect.TypeFor[Driver]()
	for n := range kind.NumMethod() {
		name := kind.Method(n).Name
		for _, d := range []Driver{i, outer} {
			method := reflect.ValueOf(d).MethodByName(name)
			args := make([]reflect.Value, method.Type().NumIn())
			for a := range args {
				args[a] = reflect.Zero(method.Type().In(a))
			}
			asked = ""
			results := method.Call(args) // a method that Injector lacks calls nil
			if err, _ := results[len(results)-1].Interface().(error); !IsSticky(err) || asked != name {
				t.Errorf("%s: %v, asked for %q", name, err, asked)
			}
		}
	}
}
