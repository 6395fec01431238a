package strictjson

import (
	"encoding"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
)

// Decode reads an object into a struct, for files that persons write. Beside what Parse
// refuses it refuses members that the struct does not have, by exactly their names in its
// json tags, or the names of fields without one, and null. So a misspelled member is no
// member that is absent. What is wrong with a value is an [*Error] with its place. Parts
// of the struct may be structs, pointers to them, slices, what has an UnmarshalText
// method, []byte in base64, and what encoding/json decodes strings, numbers, true and
// false into.
func Decode(body []byte, to any) error {
	target := reflect.ValueOf(to)
	if target.Kind() != reflect.Pointer || target.IsNil() || target.Elem().Kind() != reflect.Struct {
		return errors.New("strictjson: not a pointer to a struct")
	}
	v, err := parse(body)
	if err != nil {
		return err
	}
	if v.kind != object {
		return &Error{"", "is not an object"}
	}
	// A target keeps what it was, if anything is wrong.
	fresh := reflect.New(target.Elem().Type()).Elem()
	fresh.Set(target.Elem())
	if err := v.decode(fresh, ""); err != nil {
		return err
	}
	target.Elem().Set(fresh)
	return nil
}

func (v value) decode(to reflect.Value, at string) error {
	if v.kind == null {
		return &Error{at, "is null: leave it out"}
	}
	if to.Kind() == reflect.Pointer {
		fresh := reflect.New(to.Type().Elem())
		to.Set(fresh)
		return v.decode(fresh.Elem(), at)
	}
	_, text := to.Addr().Interface().(encoding.TextUnmarshaler)
	switch kind := to.Kind(); {
	case text:
	case kind == reflect.Struct:
		return v.decodeStruct(to, at)
	case kind == reflect.Slice && to.Type().Elem().Kind() != reflect.Uint8:
		return v.decodeSlice(to, at)
	case kind == reflect.Map || kind == reflect.Interface || kind == reflect.Array:
		return errors.New("strictjson: nothing is decoded into a " + to.Type().String())
	}
	err := json.Unmarshal(v.canonical(nil), to.Addr().Interface())
	var mismatch *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &mismatch):
		return &Error{at, "is not " + described(to, text)}
	}
	return &Error{at, "is wrong: " + err.Error()}
}

// described is what a value should have been.
func described(to reflect.Value, text bool) string {
	switch {
	case text || to.Kind() == reflect.String:
		return "a string"
	case to.Kind() == reflect.Bool:
		return "true or false"
	case to.CanInt() || to.CanUint():
		return "a whole number within its bounds"
	case to.CanFloat():
		return "a number"
	}
	return "a string in base64"
}

func (v value) decodeStruct(to reflect.Value, at string) error {
	if v.kind != object {
		return &Error{at, "is not an object"}
	}
	fields := map[string]reflect.Value{}
	for field, part := range to.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = field.Name
		}
		fields[name] = part
	}
	for _, m := range v.members {
		below := at + "/" + escape(m.name)
		part, ok := fields[m.name]
		if !ok {
			return &Error{below, "is not known"}
		}
		if err := m.value.decode(part, below); err != nil {
			return err
		}
	}
	return nil
}

func (v value) decodeSlice(to reflect.Value, at string) error {
	if v.kind != array {
		return &Error{at, "is not an array"}
	}
	out := reflect.MakeSlice(to.Type(), len(v.items), len(v.items))
	for i, item := range v.items {
		if err := item.decode(out.Index(i), at+"/"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	to.Set(out)
	return nil
}
