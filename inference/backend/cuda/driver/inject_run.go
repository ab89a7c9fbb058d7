package driver

// The rest of Injector: what runs.

func (i *Injector) ModuleLoad(image string) (Module, error) {
	if err := i.Fail("ModuleLoad"); err != nil {
		return 0, err
	}
	return i.Driver.ModuleLoad(image)
}

func (i *Injector) ModuleUnload(m Module) error {
	if err := i.Fail("ModuleUnload"); err != nil {
		return err
	}
	return i.Driver.ModuleUnload(m)
}

func (i *Injector) ModuleFunction(m Module, name string) (Function, error) {
	if err := i.Fail("ModuleFunction"); err != nil {
		return 0, err
	}
	return i.Driver.ModuleFunction(m, name)
}

func (i *Injector) FunctionAttribute(f Function, a FunctionAttribute) (int, error) {
	if err := i.Fail("FunctionAttribute"); err != nil {
		return 0, err
	}
	return i.Driver.FunctionAttribute(f, a)
}

func (i *Injector) SetFunctionAttribute(f Function, a FunctionAttribute, value int) error {
	if err := i.Fail("SetFunctionAttribute"); err != nil {
		return err
	}
	return i.Driver.SetFunctionAttribute(f, a, value)
}

func (i *Injector) Occupancy(f Function, threads int, shared int64) (int, error) {
	if err := i.Fail("Occupancy"); err != nil {
		return 0, err
	}
	return i.Driver.Occupancy(f, threads, shared)
}

func (i *Injector) Clusters(f Function, c LaunchConfig) (int, error) {
	if err := i.Fail("Clusters"); err != nil {
		return 0, err
	}
	return i.Driver.Clusters(f, c)
}

func (i *Injector) Launch(f Function, s Stream, c LaunchConfig, params []byte) error {
	if err := i.Fail("Launch"); err != nil {
		return err
	}
	return i.Driver.Launch(f, s, c, params)
}

func (i *Injector) StreamCreate(priority int) (Stream, error) {
	if err := i.Fail("StreamCreate"); err != nil {
		return 0, err
	}
	return i.Driver.StreamCreate(priority)
}

func (i *Injector) StreamDestroy(s Stream) error {
	if err := i.Fail("StreamDestroy"); err != nil {
		return err
	}
	return i.Driver.StreamDestroy(s)
}

func (i *Injector) StreamSynchronize(s Stream) error {
	if err := i.Fail("StreamSynchronize"); err != nil {
		return err
	}
	return i.Driver.StreamSynchronize(s)
}

func (i *Injector) StreamDone(s Stream) (bool, error) {
	if err := i.Fail("StreamDone"); err != nil {
		return false, err
	}
	return i.Driver.StreamDone(s)
}

func (i *Injector) StreamWait(s Stream, e Event) error {
	if err := i.Fail("StreamWait"); err != nil {
		return err
	}
	return i.Driver.StreamWait(s, e)
}

func (i *Injector) EventCreate(timing bool) (Event, error) {
	if err := i.Fail("EventCreate"); err != nil {
		return 0, err
	}
	return i.Driver.EventCreate(timing)
}

func (i *Injector) EventDestroy(e Event) error {
	if err := i.Fail("EventDestroy"); err != nil {
		return err
	}
	return i.Driver.EventDestroy(e)
}

func (i *Injector) EventRecord(e Event, s Stream) error {
	if err := i.Fail("EventRecord"); err != nil {
		return err
	}
	return i.Driver.EventRecord(e, s)
}

func (i *Injector) EventSynchronize(e Event) error {
	if err := i.Fail("EventSynchronize"); err != nil {
		return err
	}
	return i.Driver.EventSynchronize(e)
}

func (i *Injector) EventDone(e Event) (bool, error) {
	if err := i.Fail("EventDone"); err != nil {
		return false, err
	}
	return i.Driver.EventDone(e)
}

func (i *Injector) EventElapsed(from, to Event) (float64, error) {
	if err := i.Fail("EventElapsed"); err != nil {
		return 0, err
	}
	return i.Driver.EventElapsed(from, to)
}

func (i *Injector) CaptureBegin(s Stream) error {
	if err := i.Fail("CaptureBegin"); err != nil {
		return err
	}
	return i.Driver.CaptureBegin(s)
}

func (i *Injector) CaptureEnd(s Stream) (Graph, error) {
	if err := i.Fail("CaptureEnd"); err != nil {
		return 0, err
	}
	return i.Driver.CaptureEnd(s)
}

func (i *Injector) GraphNodes(g Graph) (int, error) {
	if err := i.Fail("GraphNodes"); err != nil {
		return 0, err
	}
	return i.Driver.GraphNodes(g)
}

func (i *Injector) GraphInstantiate(g Graph) (Exec, error) {
	if err := i.Fail("GraphInstantiate"); err != nil {
		return 0, err
	}
	return i.Driver.GraphInstantiate(g)
}

func (i *Injector) GraphDestroy(g Graph) error {
	if err := i.Fail("GraphDestroy"); err != nil {
		return err
	}
	return i.Driver.GraphDestroy(g)
}

func (i *Injector) GraphUpload(x Exec, s Stream) error {
	if err := i.Fail("GraphUpload"); err != nil {
		return err
	}
	return i.Driver.GraphUpload(x, s)
}

func (i *Injector) GraphLaunch(x Exec, s Stream) error {
	if err := i.Fail("GraphLaunch"); err != nil {
		return err
	}
	return i.Driver.GraphLaunch(x, s)
}

func (i *Injector) ExecDestroy(x Exec) error {
	if err := i.Fail("ExecDestroy"); err != nil {
		return err
	}
	return i.Driver.ExecDestroy(x)
}
