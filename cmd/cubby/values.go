package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/pflag"
)

// set sets a setting, which errors call by the name that it has where the value comes from. After a value that it cannot
// have it is as before: pflag leaves a number at 0, which would be found at fault once more.
func set(settings *pflag.FlagSet, f *pflag.Flag, name, value string) error {
	before := f.Value.String()
	err := settings.Set(f.Name, value)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", name, valueFault(err))
	if _, list := f.Value.(pflag.SliceValue); list { // whose text is not what sets it
		return err
	}
	return errors.Join(err, f.Value.Set(before))
}

// valueFault words why a flag cannot have a value, without the flag's name. Any other error stays as it is.
func valueFault(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	var fault string
	switch kind := invalid.GetFlag().Value.Type(); {
	case errors.Is(err, strconv.ErrRange):
		fault = "is out of range"
	case kind == "duration":
		fault = "is no duration such as 90s, 10m or 1h30m"
	case kind == "int", kind == "int64":
		fault = "is no whole number"
	case kind == "uint64":
		fault = "is no whole number from 0 on"
	case kind == "float64":
		fault = "is no number such as 0.5"
	case kind == "bool":
		fault = "is neither true nor false"
	case kind == "": // that of a text variable, which the log's level is
		fault = "is none of debug, info, warn, error"
	default:
		return invalid.Unwrap()
	}
	return fmt.Errorf("%q %s", invalid.GetValue(), fault)
}
