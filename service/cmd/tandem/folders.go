package main

import (
	"flag"
)

// folders are the two parties' states.
type folders struct{ device, server string }

func (f *folders) declareDevice(flags *flag.FlagSet) {
	flags.StringVar(&f.device, "device", "", "the device's `folder`; else TANDEM_DEVICE")
}

func (f *folders) declareServer(flags *flag.FlagSet) {
	flags.StringVar(&f.server, "server", "", "the server's `folder`; else TANDEM_SERVER")
}

// fill takes what no flag said from the environment.
func (f *folders) fill(c *call) {
	if f.device == "" {
		f.device = c.env("TANDEM_DEVICE")
	}
	if f.server == "" {
		f.server = c.env("TANDEM_SERVER")
	}
}

func (f *folders) needDevice() error {
	if f.device == "" {
		return usagef("which device? Give its folder with -device, or in TANDEM_DEVICE")
	}
	return nil
}

func (f *folders) needServer() error {
	if f.server == "" {
		return usagef("which server? Give its folder with -server, or in TANDEM_SERVER")
	}
	return nil
}

// needBoth also keeps the two apart.
func (f *folders) needBoth() error {
	if err := f.needServer(); err != nil {
		return err
	}
	if err := f.needDevice(); err != nil {
		return err
	}
	if f.device == f.server {
		return usagef("-device and -server are one folder: the two halves belong apart")
	}
	return nil
}

// noFiles refuses arguments that are not flags.
func (c *call) noFiles() error {
	if len(c.files) > 0 {
		return usagef("unexpected argument %q", c.files[0])
	}
	return nil
}

func (c *call) oneFile(what string) (string, error) {
	if len(c.files) != 1 {
		return "", usagef("want one file %s, not %d", what, len(c.files))
	}
	return c.files[0], nil
}
