package pinlock

// The weak-PIN rules that follow the finger over the keypad
//
//	1 2 3
//	4 5 6
//	7 8 9
//	  0
//
// in constant time, as the others in weakpin.go.

// place returns row and column of a key, both counted from 0.
func place(key int) (row, col int) {
	row = (key - 1) * 11 >> 5 // (key-1)/3 for 1 to 9 without a division; -1 for 0
	col = key - 1 - 3*row
	zero := eq(key, 0)
	return row + 4*zero, col - zero
}

// move returns the rows and columns from key a to key b.
func move(a, b int) (rows, cols int) {
	ar, ac := place(a)
	br, bc := place(b)
	return br - ar, bc - ac
}

// isLine says whether three keys are adjacent and in one straight line.
func isLine(d []int) int {
	r1, c1 := move(d[0], d[1])
	r2, c2 := move(d[1], d[2])
	return eq(r1, r2) & eq(c1, c2) & between(1, r1*r1+c1*c1, 2)
}

func areLines(d []int) int {
	ok := 1
	for i := 0; i+3 <= len(d); i += 3 {
		ok &= isLine(d[i : i+3])
	}
	return ok
}

func keypadLines(d []int) int {
	n := len(d)
	switch n % 3 {
	case 0:
		return areLines(d)
	case 1:
		return eq(d[0], 0)&areLines(d[1:]) | areLines(d[:n-1])&eq(d[n-1], 0)
	}
	return 0
}

func keypadPath(d []int) int {
	farthest := 2 // the square of a diagonal step
	if len(d) == 4 {
		farthest = 1
	}
	ok := allDifferent(d)
	for i := 1; i < len(d); i++ {
		r, c := move(d[i-1], d[i])
		ok &= between(1, r*r+c*c, farthest)
	}
	return ok
}

func keypadShape(d []int) int {
	if len(d) != 4 {
		return 0
	}
	shape := 0
	for _, keys := range [...][4]int{
		{1, 3, 7, 9},                                           // corners
		{2, 4, 6, 8},                                           // middles of the sides
		{1, 2, 4, 5}, {2, 3, 5, 6}, {4, 5, 7, 8}, {5, 6, 8, 9}, // squares of four
	} {
		all := 1
		for _, key := range keys {
			all &= present(d, key)
		}
		shape |= all
	}
	return shape
}

func allDifferent(d []int) int {
	ok := 1
	for i := range d {
		for j := range i {
			ok &= 1 - eq(d[i], d[j])
		}
	}
	return ok
}
