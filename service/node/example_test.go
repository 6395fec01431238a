package node_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/tandem-rsa/tandem/service/node"
)

// A node is an http.Handler. It is drained before its http.Server is shut down, and
// closed after that.
func Example() {
	// A program has its own parts; these are of the tests.
	t := &exampleParts{}
	config, _ := newConfig(t, "TEST Tree issuing")
	defer t.done()

	n, err := node.Open(context.Background(), config)
	if err != nil {
		panic(err)
	}
	web := httptest.NewServer(n)
	response, err := http.Get(web.URL + "/readyz")
	if err != nil {
		panic(err)
	}
	response.Body.Close()
	fmt.Println(response.StatusCode)

	n.Drain()
	web.Close()
	n.Close()
	// Output: 200
}

// exampleParts stands in for a test.
type exampleParts struct {
	testing.TB
	cleanups []func()
}

func (*exampleParts) Helper()                           {}
func (p *exampleParts) Cleanup(f func())                { p.cleanups = append(p.cleanups, f) }
func (*exampleParts) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (*exampleParts) FailNow()                          { panic("failed") }
func (p *exampleParts) TempDir() string {
	dir, err := os.MkdirTemp("", "node-example")
	if err != nil {
		panic(err)
	}
	p.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (p *exampleParts) done() {
	for i := len(p.cleanups) - 1; i >= 0; i-- {
		p.cleanups[i]()
	}
}
