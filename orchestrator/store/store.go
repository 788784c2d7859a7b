// Package store keeps the orchestrator's intent on disk: one record a context or sandbox, written before the engine
// call that acts on it. What really runs is for the engine and the supervisors to say.
package store

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// ErrInUse says that another process has the state directory open.
var ErrInUse = errors.New("state directory is in use by another server")

// ErrNewer says that the state was written by a newer version, which this one must not touch.
var ErrNewer = errors.New("state directory was written by a newer version")

// schema is the version of the records. A program refuses what is newer than its own.
const schema = 1

// lockPatience is how long Open waits for a process that is just leaving.
const lockPatience = 2 * time.Second

var (
	bucketMeta      = []byte("meta")
	bucketContexts  = []byte("contexts")
	bucketSandboxes = []byte("sandboxes")
	keySchema       = []byte("schema")
)

// Context is what is intended for one code context.
type Context struct {
	ID         string
	Language   string
	Cwd        string
	Env        map[string]string
	Sandbox    string
	Default    bool // it is its language's default context
	CreatedAt  time.Time
	Generation int

	Container Container  // that of Generation
	Next      *Container // that of Generation + 1, while it is being brought up

	Ready    bool   // its creation was acknowledged; one that was not is removed on the next start
	Removing bool   // its removal was asked for, and is finished on the next start
	Failed   string // why it takes no executions; empty: it does
	Lost     string // why its container is gone; empty: it is not known to be

	Loss    Loss
	Endings []Ending // of executions whose journal is gone, oldest first; bounded by whoever writes them
}

// Ending is how an execution ended whose generation is no more.
type Ending struct {
	ID         string
	Generation int
	Output     int64           // bytes of output and results; negative: not known
	Done       json.RawMessage // its last event, as it was told
}

// Container is a container that is about to be, or was, created.
type Container struct {
	Name  string
	Token string // proves a claim to be ours
}

// Sandbox is a named group of contexts with one workspace and one uid.
type Sandbox struct {
	Name      string
	Workspace string
	UID       int
	CreatedAt time.Time
}

// Store is an open state directory. Its methods may be called concurrently; a write that returns nil is on disk.
type Store struct {
	db       *bbolt.DB
	file     fs.FileInfo // of the database as it was opened
	instance string
	setAside string
}

// Open opens the state directory, making it when it is not there. The error is ErrInUse when another process has it
// open and ErrNewer when its schema is newer. A store that cannot be read is set aside, and a new, empty one opened.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create state directory: %w", err)
	}
	path := filepath.Join(dir, "state.db")
	s := &Store{}
	db, err := open(path)
	if err != nil && !errors.Is(err, ErrInUse) && !errors.Is(err, ErrNewer) && !errors.Is(err, fs.ErrPermission) {
		s.setAside = fmt.Sprintf("%s.corrupt-%s", path, time.Now().UTC().Format("20060102T150405.000"))
		if renamed := os.Rename(path, s.setAside); renamed != nil {
			return nil, fmt.Errorf("open %s: %w; set it aside: %w", path, err, renamed)
		}
		db, err = open(path)
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
	return s, nil
}

// Instance is the random id by which containers and volumes are known to be ours. It outlives the store's file.
func (s *Store) Instance() string { return s.instance }

// SetAside is where an unreadable store was moved by Open, or empty. The records in it are unknown: what the engine
// holds may belong to them.
func (s *Store) SetAside() string { return s.setAside }

// Close releases the state directory.
func (s *Store) Close() error { return s.db.Close() }

// PutContext writes a context's record.
func (s *Store) PutContext(c Context) error { return put(s, bucketContexts, c.ID, c) }

// DeleteContext forgets a context. One that is not there is no error.
func (s *Store) DeleteContext(id string) error {
	err := s.update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketContexts).Delete([]byte(id)) })
	if err != nil {
		return fmt.Errorf("delete record %s: %w", id, err)
	}
	return nil
}

// Contexts returns all contexts in the order of their creation.
func (s *Store) Contexts() ([]Context, error) {
	contexts, err := all[Context](s.db, bucketContexts)
	slices.SortFunc(contexts, func(a, b Context) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return contexts, err
}

// PutSandbox writes a sandbox's record.
func (s *Store) PutSandbox(b Sandbox) error { return put(s, bucketSandboxes, b.Name, b) }

// Sandboxes returns all sandboxes.
func (s *Store) Sandboxes() ([]Sandbox, error) { return all[Sandbox](s.db, bucketSandboxes) }

func put(s *Store, bucket []byte, key string, record any) error {
	value, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("encode record %s: %w", key, err)
	}
	err = s.update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put([]byte(key), value) })
	if err != nil {
		return fmt.Errorf("write record %s: %w", key, err)
	}
	return nil
}

func all[Record any](db *bbolt.DB, bucket []byte) ([]Record, error) {
	var records []Record
	err := db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucket).ForEach(func(key, value []byte) error {
			var r Record
			if err := json.Unmarshal(value, &r); err != nil {
				return fmt.Errorf("decode record %s: %w", key, err)
			}
			records = append(records, r)
			return nil
		})
	})
	return records, err
}

// open opens the file and reads all of it, since bbolt notices a bad page only when it meets it, and then panics.
func open(path string) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a page beyond the end of a cut file is a fault
	defer func() {
		if broken := recover(); broken != nil {
			err = fmt.Errorf("corrupt store: %v", broken)
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
		if written == nil {
			return meta.Put(keySchema, []byte{schema})
		}
		if len(written) != 1 || written[0] > schema {
			return fmt.Errorf("%w: schema %v, this program knows %d", ErrNewer, written, schema)
		}
		return nil
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
