package exploretest

func (w *world) unenrolled() moment { return moment{dev: w.dev(nil), store: w.stored(nil)} }

func (w *world) checkEnrolled(servedKey, response) {}
