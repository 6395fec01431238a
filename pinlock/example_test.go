package pinlock_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/splitkey"
)

func ExampleLock() {
	client, server, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
	if err != nil {
		log.Fatal(err)
	}
	_ = server // goes to the server, and is erased here

	pin := []byte("0846")
	lockbox, err := pinlock.Lock(client, pin, pinlock.DefaultParams())
	if err != nil {
		log.Fatal(err)
	}
	clear(pin)
	client.Wipe()

	storageKey := make([]byte, pinlock.StorageKeySize) // from the device's key store
	rand.Read(storageKey)
	sealed, err := lockbox.Seal(storageKey)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(lockbox)
	fmt.Println(len(sealed), "bytes to store")
	// Output:
	// pinlock.Lockbox(2048 bits, multiplicative, t=3 m=65536KiB p=4)
	// 604 bytes to store
}

// Every PIN opens a lockbox. The device does not learn which one was right.
func ExampleLockbox_Unlock() {
	client, _, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
	if err != nil {
		log.Fatal(err)
	}
	lockbox, err := pinlock.Lock(client, []byte("0846"), pinlock.DefaultParams())
	if err != nil {
		log.Fatal(err)
	}
	for _, pin := range []string{"0846", "0847", "084"} {
		share, err := lockbox.Unlock([]byte(pin), pinlock.DefaultParams())
		if errors.Is(err, pinlock.ErrPINFormat) {
			fmt.Println("ask again:", err)
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		// Here the device makes a partial signature and sends it, and the server's answer
		// says whether the PIN was right.
		fmt.Println(share)
		share.Wipe()
	}
	// Output:
	// splitkey.ClientShare(2048 bits, multiplicative, secret hidden)
	// splitkey.ClientShare(2048 bits, multiplicative, secret hidden)
	// ask again: pinlock: PIN is not 4 to 12 digits
}

// A device without a key store keeps a lockbox with a checksum.
func ExampleParseLockbox() {
	client, _, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
	if err != nil {
		log.Fatal(err)
	}
	lockbox, err := pinlock.Lock(client, []byte("0846"), pinlock.DefaultParams())
	if err != nil {
		log.Fatal(err)
	}
	stored, err := lockbox.MarshalBinary()
	if err != nil {
		log.Fatal(err)
	}
	_, err = pinlock.ParseLockbox(stored)
	fmt.Println(len(stored), "bytes:", err)

	stored[100] ^= 1 // a bad disk
	_, err = pinlock.ParseLockbox(stored)
	fmt.Println(err)
	// Output:
	// 591 bytes: <nil>
	// pinlock: malformed lockbox: wrong checksum
}

func ExampleCheckPIN() {
	for _, pin := range []string{"2580", "1987", "3112", "0846", "12"} {
		err := pinlock.CheckPIN([]byte(pin))
		var weak *pinlock.WeakPINError
		switch {
		case errors.As(err, &weak):
			fmt.Println("choose another:", weak.Rule)
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println("good")
		}
	}
	// Output:
	// choose another: keypad-lines
	// choose another: year
	// choose another: date
	// good
	// pinlock: PIN is not 4 to 12 digits
}

// A lockbox at rest is sealed under a storage key, which has nothing to do with the PIN.
func ExampleOpenLockbox() {
	client, _, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
	if err != nil {
		log.Fatal(err)
	}
	// The least cost is for examples only.
	lockbox, err := pinlock.Lock(client, []byte("0846"), pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1})
	if err != nil {
		log.Fatal(err)
	}
	storageKey := make([]byte, pinlock.StorageKeySize)
	rand.Read(storageKey)
	sealed, err := lockbox.Seal(storageKey)
	if err != nil {
		log.Fatal(err)
	}
	opened, err := pinlock.OpenLockbox(sealed, storageKey)
	fmt.Println(opened, err)
	sealed[100] ^= 1
	_, err = pinlock.OpenLockbox(sealed, storageKey)
	fmt.Println(errors.Is(err, pinlock.ErrSealed)) // found at once: costs no attempt
	// Output:
	// pinlock.Lockbox(2048 bits, multiplicative, t=1 m=8KiB p=1) <nil>
	// true
}
