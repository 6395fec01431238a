package main

// weakPINs says to a person what each rule of pinlock.CheckPIN refuses.
var weakPINs = map[string]string{
	"same-digit":       "all its digits are the same",
	"run":              "its digits count up or down, as in 1234",
	"repeated-block":   "it repeats itself, as in 4747",
	"doubled-digits":   "its digits come in equal groups, as in 1122",
	"mirror":           "it reads the same backwards, as in 1221",
	"two-digits":       "it has only two different digits",
	"interleaved-runs": "every second digit counts up or down, as in 121314",
	"stairs":           "its digits go up or down in steps of one, some twice, as in 1233",
	"first-digits":     "it is made of the first digits, as in 1324",
	"zeros":            "most of it is zeros at one end, as in 5000",
	"keypad-lines":     "it is made of lines on the keypad, as in 2580",
	"keypad-path":      "it is a path of neighbouring keys, as in 1478",
	"keypad-shape":     "its keys are corners, sides or a square of the keypad, as in 1397",
	"year":             "it is a year",
	"date":             "it can be read as a date",
	"word":             "it spells a word on the keypad, as 5683 is LOVE",
	"number":           "it is a famous number",
	"weak-parts":       "each of its parts is easily guessed, as in 19842580",
}

// explainWeak is the sentence for a rule; also for one that is newer than this table.
func explainWeak(rule string) string {
	why := weakPINs[rule]
	if why == "" {
		why = "too many people choose it"
	}
	return "this PIN is among the first that a thief would try: " + why
}
