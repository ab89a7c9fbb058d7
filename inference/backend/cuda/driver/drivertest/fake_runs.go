package drivertest

import "llorch/inference/backend/cuda/driver"

func (f *Fake) ModuleLoad(string) (driver.Module, error) { return driver.Module(f.make("module")), nil }
func (f *Fake) ModuleUnload(m driver.Module) error       { return f.drop("ModuleUnload", uintptr(m)) }

// ModuleFunction finds any name. Functions go with their module.
func (f *Fake) ModuleFunction(m driver.Module, _ string) (driver.Function, error) {
	return driver.Function(m), f.has("ModuleFunction", uintptr(m))
}

func (f *Fake) FunctionAttribute(driver.Function, driver.FunctionAttribute) (int, error) {
	return 0, nil
}

func (f *Fake) SetFunctionAttribute(driver.Function, driver.FunctionAttribute, int) error { return nil }

func (f *Fake) Occupancy(driver.Function, int, int64) (int, error) { return 1, nil }

func (f *Fake) Clusters(driver.Function, driver.LaunchConfig) (int, error) { return 1, nil }

func (f *Fake) Launch(fn driver.Function, s driver.Stream, _ driver.LaunchConfig, _ []byte) error {
	return f.has("Launch", uintptr(fn), uintptr(s))
}

func (f *Fake) StreamCreate(int) (driver.Stream, error) { return driver.Stream(f.make("stream")), nil }
func (f *Fake) StreamDestroy(s driver.Stream) error     { return f.drop("StreamDestroy", uintptr(s)) }
func (f *Fake) StreamSynchronize(s driver.Stream) error {
	return f.has("StreamSynchronize", uintptr(s))
}

func (f *Fake) StreamDone(s driver.Stream) (bool, error) {
	return true, f.has("StreamDone", uintptr(s))
}

func (f *Fake) StreamWait(s driver.Stream, e driver.Event) error {
	return f.has("StreamWait", uintptr(s), uintptr(e))
}

func (f *Fake) EventCreate(bool) (driver.Event, error) { return driver.Event(f.make("event")), nil }
func (f *Fake) EventDestroy(e driver.Event) error      { return f.drop("EventDestroy", uintptr(e)) }

func (f *Fake) EventRecord(e driver.Event, s driver.Stream) error {
	return f.has("EventRecord", uintptr(e), uintptr(s))
}

func (f *Fake) EventSynchronize(e driver.Event) error  { return f.has("EventSynchronize", uintptr(e)) }
func (f *Fake) EventDone(e driver.Event) (bool, error) { return true, f.has("EventDone", uintptr(e)) }

func (f *Fake) EventElapsed(from, to driver.Event) (float64, error) {
	return 0, f.has("EventElapsed", uintptr(from), uintptr(to))
}

func (f *Fake) CaptureBegin(s driver.Stream) error { return f.has("CaptureBegin", uintptr(s)) }

func (f *Fake) CaptureEnd(s driver.Stream) (driver.Graph, error) {
	return driver.Graph(f.make("graph")), f.has("CaptureEnd", uintptr(s))
}

func (f *Fake) GraphNodes(driver.Graph) (int, error) { return 1, nil }

func (f *Fake) GraphInstantiate(g driver.Graph) (driver.Exec, error) {
	if err := f.has("GraphInstantiate", uintptr(g)); err != nil {
		return 0, err
	}
	return driver.Exec(f.make("exec")), nil
}

func (f *Fake) GraphDestroy(g driver.Graph) error { return f.drop("GraphDestroy", uintptr(g)) }

func (f *Fake) GraphUpload(x driver.Exec, s driver.Stream) error {
	return f.has("GraphUpload", uintptr(x), uintptr(s))
}

func (f *Fake) GraphLaunch(x driver.Exec, s driver.Stream) error {
	return f.has("GraphLaunch", uintptr(x), uintptr(s))
}

func (f *Fake) ExecDestroy(x driver.Exec) error { return f.drop("ExecDestroy", uintptr(x)) }
