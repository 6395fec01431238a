// Package mobile is the phone for apps: package deviceclient with types that gobind
// takes, so that one package makes the app for Android, iOS and, as WebAssembly, for
// browsers.
//
//   - ReadConfig reads where the service is: phone.json, with which the app is shipped.
//   - NewPhone makes a Phone of it, on the app's Storage and the platform's keys.
//   - Phone.Enrol makes an account. Phone.Poll, Phone.Open and Phone.Sign answer a
//     relying party. Phone.Status says what an app that starts has to show.
//
// # Outcomes
//
// What an app acts on is a value, not an error: each method returns an [Outcome], whose
// Code is one of the constants. An error is for what the app cannot act on: its storage
// fails, or it has a defect.
//
// # Values
//
// All methods may take seconds, and Poll as long as it was told to: they are not for the
// thread of the screen. They may be called from any thread. One runs at a time, besides
// Poll and what only reads the account; another one has CodeBusy. Storage and
// PlatformKeys are called on whatever thread, and must not keep the bytes that they were
// given: these are the phone's memory.
//
// A PIN is bytes, and is cleared when the method returns: in Java the caller's array, in
// Swift an NSMutableData; a Data is a copy.
//
// # Security
//
// The storage key seals all that is stored: the halves of the keys, the token, the
// transaction that is open. What it cannot see is that the storage went back in time; the
// service finds that out, and destroys the keys. So a Storage must not be in a backup,
// and no two phones may work on one: within a process the second one is busy, and where
// several processes share a storage it has to have a lock: see [Storage].
//
// What is shown is what is signed: see package deviceclient. That holds also for a
// transaction that another process of the app has opened.
//
// Nothing secret is in a field: neither printers nor toString find it.
package mobile
