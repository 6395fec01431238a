package deviceclient

// defaultFetch has none: a browser's program brings its own.
func defaultFetch() Fetch { return nil }

func defaultStream() Stream { return nil }
