package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// ErrInUse says that another process has the state directory open.
var ErrInUse = errors.New("state directory is in use by another server")

// ErrNewer says that the state was written by a newer version, which this one must not touch.
var ErrNewer = errors.New("state directory was written by a newer version")

// errCorrupt says that what is in the file cannot have been written by a store.
var errCorrupt = errors.New("corrupt store")

// lockPatience is how long Open waits for a process that is just leaving.
const lockPatience = 2 * time.Second

// Open opens the state directory, making it when it is not there. The error is ErrInUse when another process has it
// open and ErrNewer when its schema is newer. A store that is found to be corrupt is set aside, and a new, empty one
// opened; one that cannot be opened for another reason stays where it is.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create state directory: %w", err)
	}
	path := filepath.Join(dir, "state.db")
	s := &Store{reserve: reserve{path: filepath.Join(dir, "reserve")}}
	db, err := open(path)
	if isCorrupt(path, err) {
		s.setAside = fmt.Sprintf("%s.corrupt-%s", path, time.Now().UTC().Format("20060102T150405.000"))
		if renamed := os.Rename(path, s.setAside); renamed != nil {
			return nil, fmt.Errorf("open %s: %w; set it aside: %w", path, err, renamed)
		}
		if db, err = open(path); err != nil { // the next start has to find the corrupt one, and say so
			err = errors.Join(err, os.Rename(s.setAside, path))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	s.db = db
	if s.file, err = os.Stat(path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if s.instance, err = instance(filepath.Join(dir, "instance")); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.reserve.keep()
	return s, nil
}

// isCorrupt reports whether an error of open proves that the file is corrupt: a want of descriptors, memory or room does
// not, and neither does a disk that fails.
func isCorrupt(path string, err error) bool {
	if err == nil {
		return false
	}
	for _, proof := range []error{errCorrupt, bbolterrors.ErrInvalid, bbolterrors.ErrVersionMismatch, bbolterrors.ErrChecksum} {
		if errors.Is(err, proof) {
			return true
		}
	}
	info, unknown := os.Stat(path) // bbolt has no error of its own for a file that is too small
	return unknown == nil && info.Size() > 0 && info.Size() < int64(2*os.Getpagesize())
}

// open opens the file and reads all of it, since bbolt notices a bad page only when it meets it, and then panics.
func open(path string) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a page beyond the end of a cut file is a fault
	defer func() {
		if broken := recover(); broken != nil {
			err = fmt.Errorf("%w: %v", errCorrupt, broken)
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockPatience})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, err
	}
	if err := prepare(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// prepare makes the buckets, checks the schema and decodes every record once.
func prepare(db *bbolt.DB) error {
	err := db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketContexts, bucketSandboxes} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		written := meta.Get(keySchema)
		if len(written) > 1 || len(written) == 1 && written[0] > schema {
			return fmt.Errorf("%w: schema %v, this program knows %d", ErrNewer, written, schema)
		}
		return meta.Put(keySchema, []byte{schema}) // what an older program must not touch from now on
	})
	if err != nil {
		return err
	}
	if _, err := all[Context](db, bucketContexts); err != nil {
		return err
	}
	_, err = all[Sandbox](db, bucketSandboxes)
	return err
}

// instance reads the instance id, or makes one.
func instance(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if id := strings.TrimSpace(string(raw)); err == nil && id != "" {
		return id, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read instance id: %w", err)
	}
	id := strings.ToLower(rand.Text())
	if err := writeSync(path, id+"\n"); err != nil {
		return "", fmt.Errorf("write instance id: %w", err)
	}
	return id, nil
}

// writeSync writes a small file so that it is there, and whole, after a crash.
func writeSync(path, text string) error {
	draft := path + ".new"
	f, err := os.OpenFile(draft, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(draft, path)
}
