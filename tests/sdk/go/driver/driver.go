// Package driver is what both Go drivers share: they read calls from the standard input and write what came of them (see
// foreign.py).
package driver

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
)

// Region is where Keyward says that it is.
const Region = "cn-hangzhou"

// Caller is who makes a call, and over what.
type Caller struct {
	ID, Secret, Token string
	TLS               bool
}

// Endpoint is a host and a port.
func (caller Caller) Endpoint() string {
	if caller.TLS {
		return os.Getenv("KEYWARD_TLS")
	}
	return os.Getenv("KEYWARD_API")
}

// Protocol is http or https. Go trusts Keyward's certificate because of SSL_CERT_FILE.
func (caller Caller) Protocol() string {
	if caller.TLS {
		return "https"
	}
	return "http"
}

// Refused says that the service said no, and that the client understood.
type Refused struct {
	Status int
	Code   string
}

func (refused Refused) Error() string { return fmt.Sprintf("%d %s", refused.Status, refused.Code) }

// Version of the API that has an operation.
func Version(action string) string {
	if slices.Contains([]string{"AssumeRole", "GetCallerIdentity"}, action) {
		return "2015-04-01"
	}
	return "2016-01-20"
}

// Text is a parameter as the wire has it: objects are JSON text.
func Text(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Fill gives a field of a request its value, whatever type the client has chosen for it. The members of objects are
// found by a tag of the fields.
func Fill(field reflect.Value, value any, tag string) error {
	switch field.Kind() {
	case reflect.Pointer:
		field.Set(reflect.New(field.Type().Elem()))
		return Fill(field.Elem(), value, tag)
	case reflect.Slice:
		elements, _ := value.([]any)
		field.Set(reflect.MakeSlice(field.Type(), len(elements), len(elements)))
		for index, element := range elements {
			if err := Fill(field.Index(index), element, tag); err != nil {
				return err
			}
		}
		return nil
	case reflect.Struct:
		members, _ := value.(map[string]any)
		return FillStruct(field, members, tag)
	case reflect.String:
		field.SetString(Text(value))
		return nil
	default: // numbers, booleans, maps
		return json.Unmarshal([]byte(Text(value)), field.Addr().Interface())
	}
}

// FillStruct gives the fields of a request the values of the parameters.
func FillStruct(request reflect.Value, parameters map[string]any, tag string) error {
	for name, value := range parameters {
		field, found := fieldOf(request, name, tag)
		if !found {
			return fmt.Errorf("%s has no field for the parameter %s", request.Type(), name)
		}
		if err := Fill(field, value, tag); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func fieldOf(request reflect.Value, name, tag string) (reflect.Value, bool) {
	for index := range request.NumField() {
		if tagged, _, _ := strings.Cut(request.Type().Field(index).Tag.Get(tag), ","); tagged == name {
			return request.Field(index), true
		}
	}
	return reflect.Value{}, false
}

type order struct {
	Caller
	Action     string
	Parameters map[string]any
}

// Run makes every call that is ordered.
func Run(call func(Caller, string, map[string]any) (any, error)) {
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return // no more orders
		}
		fmt.Println(Text(outcome(call, line)))
	}
}

func outcome(call func(Caller, string, map[string]any) (any, error), line []byte) (result map[string]any) {
	defer func() {
		if problem := recover(); problem != nil {
			result = map[string]any{"failed": fmt.Sprint("panic: ", problem)}
		}
	}()
	var ordered order
	if err := json.Unmarshal(line, &ordered); err != nil {
		return map[string]any{"failed": err.Error()}
	}
	answer, err := call(ordered.Caller, ordered.Action, ordered.Parameters)
	var refused Refused
	switch {
	case errors.As(err, &refused):
		return map[string]any{"refused": []any{refused.Status, refused.Code}}
	case err != nil:
		return map[string]any{"failed": err.Error()}
	default:
		return map[string]any{"answer": answer}
	}
}
