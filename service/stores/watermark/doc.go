// Package watermark notices that a [limiter.Store] went back in time: that an older copy
// of it was restored, that a failover lost confirmed writes, or that a fork of it took
// its place. A store cannot know this by itself. So a mark of some 100 bytes is kept
// outside of it, by a [Keeper].
//
// # How
//
// Each node has a mark, and a record in the store that only this node writes: its
// checkpoint, a number and a random nonce. About once a second, if there were writes, the
// node writes the next checkpoint to the store, and then saves it as its mark. The mark
// already holds the nonce of the checkpoint after that. So a checkpoint in the store is
// the mark's, or the one after it (the node crashed between the two), or the store went
// back.
//
// Nothing is added to the writes of an attempt: a signature has one durable write, and
// each checkpoint is one more for all of a second's.
//
// # What is noticed
//
//   - At the start ([Open]), and about once a second from then on: every state of the
//     store that does not hold the node's checkpoint. That is every copy that was made
//     before the mark's checkpoint was written, and every fork that another history
//     continued, however far it has come.
//   - At each record: one whose version is lower than this node has seen since it
//     started, one that lacks a write which was confirmed to this node, and one that is
//     gone. The node remembers the 131,072 to 262,144 records that it used last.
//
// The node then refuses every call ([ErrWentBack]), and says so in its mark: it refuses
// after a restart as well, until an operator has the keys charged and the store accepted
// ([BeginRecovery]).
//
// # What is not
//
//   - The lag. Writes that were confirmed after the mark's checkpoint began are not under
//     it: at most [Options].Lag for each node, and while marks can be saved none that is
//     older than [Options].Every and the time that one checkpoint takes. A copy that
//     holds the checkpoint and lacks some of these passes, if the node stopped without
//     [Store.Close]. After Close, or with NoLag, nothing lies within the lag.
//   - A copy of the store together with its mark. So the mark belongs on another disk, or
//     into an HSM, and in no backup.
//   - What somebody writes who may write to the store, record by record. He may write
//     anything, except for what this node remembers. The mark is no seal.
//
// It needs a store whose copies are of one moment: a backup that holds a checkpoint must
// hold every write that was confirmed before that. Backups of bolt, PostgreSQL and etcd
// made by their own means do.
//
// # Security
//
// The keeper is trusted to return what was saved last. Whoever can turn back both the
// store and the mark gives a thief his guesses back.
package watermark
