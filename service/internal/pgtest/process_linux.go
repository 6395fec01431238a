package pgtest

import "syscall"

// attributes lets a program run as its owner.
func attributes(o owner) *syscall.SysProcAttr {
	if !o.other {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: o.uid, Gid: o.gid}}
}
