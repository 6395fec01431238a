package pgtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// attributes lets a program run as its owner.
func attributes(o owner) *syscall.SysProcAttr {
	if !o.other {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: o.uid, Gid: o.gid}}
}

// CPU is how much processor time all processes of the server have used, to some
// hundredths of a second.
func (s *Server) CPU(t testing.TB) (used time.Duration) {
	t.Helper()
	s.mu.Lock()
	pid := s.process.Process.Pid
	s.mu.Unlock()
	fields, err := stat(pid)
	require.NoError(t, err)
	used = ticks(t, fields[11:15]) // with its children's that have ended
	all, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	for _, dir := range all {
		child, err := strconv.Atoi(filepath.Base(dir))
		require.NoError(t, err)
		fields, err := stat(child)
		if err == nil && fields[1] == strconv.Itoa(pid) {
			used += ticks(t, fields[11:13])
		}
	}
	return used
}

// stat is what /proc says of a process behind its name: the state, the parent, and so on.
func stat(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 20 {
		return nil, fmt.Errorf("pgtest: /proc/%d/stat has %d fields", pid, len(fields))
	}
	return fields, nil
}

// ticks adds times up, of which Linux tells programs in hundredths of a second.
func ticks(t testing.TB, fields []string) (sum time.Duration) {
	for _, field := range fields {
		n, err := strconv.Atoi(field)
		require.NoError(t, err)
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum
}
