// Package store keeps the orchestrator's intent on disk: one record a context or sandbox, written before the engine
// call that acts on it. What really runs is for the engine and the supervisors to say.
package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// schema is the version of the records. A program refuses what is newer than its own.
const schema = 1

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
	ID    string // the engine's; empty until the container has been taken into use
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
	reserve  reserve
	instance string
	setAside string
}

// Instance is the random id by which containers and volumes are known to be ours. It outlives the store's file.
func (s *Store) Instance() string { return s.instance }

// SetAside is where an unreadable store was moved by Open, or empty. The records in it are unknown: what the engine
// holds may belong to them.
func (s *Store) SetAside() string { return s.setAside }

// Close releases the state directory.
func (s *Store) Close() error { return s.db.Close() }

// PutContext writes a context's record. For one that is Removing there is room on a full disk, too.
func (s *Store) PutContext(c Context) error {
	write := s.update
	if c.Removing {
		write = s.relieve
	}
	return put(write, bucketContexts, c.ID, c)
}

// DeleteContext forgets a context, also on a full disk. One that is not there is no error.
func (s *Store) DeleteContext(id string) error {
	err := s.relieve(func(tx *bbolt.Tx) error { return tx.Bucket(bucketContexts).Delete([]byte(id)) })
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
func (s *Store) PutSandbox(b Sandbox) error { return put(s.update, bucketSandboxes, b.Name, b) }

// Sandboxes returns all sandboxes.
func (s *Store) Sandboxes() ([]Sandbox, error) { return all[Sandbox](s.db, bucketSandboxes) }

func put(write func(func(*bbolt.Tx) error) error, bucket []byte, key string, record any) error {
	value, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("encode record %s: %w", key, err)
	}
	err = write(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put([]byte(key), value) })
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
				return fmt.Errorf("%w: decode record %s: %w", errCorrupt, key, err)
			}
			records = append(records, r)
			return nil
		})
	})
	return records, err
}
