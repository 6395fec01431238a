package strictjson

import (
	"strconv"
)

// Object is a JSON object whose members are read by name. The first thing that is wrong
// stays, and Err returns it: a caller reads all that it needs and asks once. A member
// that is null is as one that is absent. The zero Object has no members.
type Object struct {
	pointer string
	value   value
	err     *error
}

// Parse reads a body that is an object. The error is an [*Error].
func Parse(body []byte) (*Object, error) {
	v, err := parse(body)
	if err != nil {
		return nil, err
	}
	if v.kind != object {
		return nil, &Error{"", "is not an object"}
	}
	return &Object{"", v, new(error)}, nil
}

// ParseArray reads a body that is an array of objects, which share their error. The error
// is an [*Error].
func ParseArray(body []byte) ([]*Object, error) {
	v, err := parse(body)
	if err != nil {
		return nil, err
	}
	if v.kind != array {
		return nil, &Error{"", "is not an array"}
	}
	out := objects(v, "", new(error))
	if len(out) > 0 && out[0].Err() != nil {
		return nil, out[0].Err()
	}
	return out, nil
}

// Err returns the first thing that was wrong: an [*Error], or nil.
func (o *Object) Err() error {
	if o == nil || o.err == nil {
		return &Error{"", "was not read"}
	}
	return *o.err
}

// Fail says that a member is wrong, unless something was wrong before. An empty name is
// the object itself.
func (o *Object) Fail(name, problem string) {
	if o != nil && o.err != nil && *o.err == nil {
		*o.err = &Error{o.Pointer(name), problem}
	}
}

// Pointer returns the JSON pointer to a member.
func (o *Object) Pointer(name string) string {
	if o == nil {
		return ""
	}
	if name == "" {
		return o.pointer
	}
	return o.pointer + "/" + escape(name)
}

// Names returns the names of the members that are not null, as the body has them.
func (o *Object) Names() []string {
	var out []string
	if o != nil {
		for _, m := range o.value.members {
			if m.value.kind != null {
				out = append(out, m.name)
			}
		}
	}
	return out
}

// Has reports whether there is a member of this name that is not null.
func (o *Object) Has(name string) bool {
	_, ok := o.member(name)
	return ok
}

func (o *Object) member(name string) (value, bool) {
	if o != nil {
		for _, m := range o.value.members {
			if m.name == name {
				return m.value, m.value.kind != null
			}
		}
	}
	return value{}, false
}

// get returns a member of a kind. One that is absent is wrong if it is required.
func (o *Object) get(name string, k kind, what string, required bool) (value, bool) {
	v, ok := o.member(name)
	switch {
	case !ok && required:
		o.Fail(name, "is missing")
	case ok && v.kind != k:
		o.Fail(name, "is not "+what)
		return value{}, false
	}
	return v, ok
}

// String returns a member that is a string; "" if there is none.
func (o *Object) String(name string, required bool) string {
	v, _ := o.get(name, text, "a string", required)
	return v.text
}

// Bool returns a member that is true or false; false if there is none.
func (o *Object) Bool(name string) bool {
	v, _ := o.get(name, boolean, "true or false", false)
	return v.bool
}

// Object returns a member that is an object; one without members if there is none.
func (o *Object) Object(name string, required bool) *Object {
	v, _ := o.get(name, object, "an object", required)
	if o == nil {
		return nil
	}
	return &Object{o.Pointer(name), v, o.err}
}

// Objects returns the elements of a member that is an array of objects.
func (o *Object) Objects(name string, required bool) []*Object {
	v, _ := o.get(name, array, "an array", required)
	if o == nil {
		return nil
	}
	return objects(v, o.Pointer(name), o.err)
}

func objects(v value, pointer string, err *error) (out []*Object) {
	for i, item := range v.items {
		at := &Object{pointer + "/" + strconv.Itoa(i), item, err}
		if item.kind != object {
			at.Fail("", "is not an object")
		}
		out = append(out, at)
	}
	return out
}

// Strings returns the elements of a member that is an array of strings.
func (o *Object) Strings(name string) (out []string) {
	v, _ := o.get(name, array, "an array", false)
	for i, item := range v.items {
		if item.kind != text {
			(&Object{o.Pointer(name), v, o.err}).Fail(strconv.Itoa(i), "is not a string")
			return nil
		}
		out = append(out, item.text)
	}
	return out
}

// Canonical returns the object without white space, and with the members of all objects
// in the order of their names: the same for two bodies that say the same.
func (o *Object) Canonical() []byte {
	if o == nil {
		return nil
	}
	return o.value.canonical(nil)
}
