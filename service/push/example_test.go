package push_test

import (
	"context"
	"fmt"

	"github.com/tandem-rsa/tandem/service/push"
)

// apns is what an adapter for another service looks like.
type apns struct{}

func (apns) Send(_ context.Context, token string) error {
	fmt.Println("look:", token)
	return nil // or push.ErrGone, where the app was removed
}

func ExampleSender() {
	var s push.Sender = apns{}
	_ = s.Send(context.Background(), "a device's token")
	// Output: look: a device's token
}

func ExampleNewWeb() {
	secret := make([]byte, 32) // the service's
	web, err := push.NewWeb(secret, "https://id.example")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(web.PublicKey())) // 65: what browsers subscribe for
}
