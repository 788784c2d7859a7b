//go:build integration

package images

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// runR runs code in a context and returns its standard output and its error.
func runR(t *testing.T, manager *orchestrator.Manager, id, code string) (out string, failed orchestrator.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := manager.Execute(ctx, orchestrator.ExecuteRequest{Context: id, Code: code})
	require.NoError(t, err)
	for {
		ev, err := e.Next(ctx)
		if errors.Is(err, io.EOF) {
			return out, failed
		}
		require.NoError(t, err)
		switch ev.Type {
		case kernel.TypeStdout:
			out += ev.Text
		case kernel.TypeError:
			failed = ev
		}
	}
}

// tinyPackage makes the source of a package.
const tinyPackage = `dir.create("tiny/R", recursive = TRUE)
writeLines(c("Package: tiny", "Version: 1.0", "Title: T", "Description: D.", "License: none"), "tiny/DESCRIPTION")
writeLines("export(answer)", "tiny/NAMESPACE")
writeLines("answer <- function() 42", "tiny/R/answer.R")
suppressWarnings(tar("tiny_1.0.tar.gz", "tiny", compression = "gzip"))
cat(file.exists("R"))`

func TestR(t *testing.T) {
	tag, err := Tag("r", kitArchitecture(t))
	require.NoError(t, err)
	manager := kitManager(t, "r", tag)
	created, err := manager.Create(t.Context(), orchestrator.CreateRequest{Language: "r"})
	require.NoError(t, err)
	t.Run("a package goes to the user's own library", func(t *testing.T) {
		out, failed := runR(t, manager, created.ID, tinyPackage)
		require.Empty(t, failed.Value)
		require.Equal(t, "FALSE", out, "the library is made when it is used")
		_, failed = runR(t, manager, created.ID, `install.packages("/home/user/tiny_1.0.tar.gz", repos = NULL)`)
		require.Empty(t, failed.Value)
		out, failed = runR(t, manager, created.ID, `cat(tiny::answer(), startsWith(find.package("tiny"), Sys.getenv("R_LIBS_USER")))`)
		require.Empty(t, failed.Value)
		require.Equal(t, "42 TRUE", out)
	})
	t.Run("an error of much text keeps what fits", func(t *testing.T) {
		_, failed := runR(t, manager, created.ID, `stop(simpleError(strrep("x", 2e7)))`)
		require.Equal(t, "Error", failed.Name)
		for _, text := range []string{failed.Value, failed.Traceback} {
			require.True(t, strings.HasPrefix(strings.TrimPrefix(text, "Error: "), "xxx"), "%.100s", text)
			require.Contains(t, text, " bytes left out]\n")
		}
	})
	t.Run("much output is whole", func(t *testing.T) {
		out, failed := runR(t, manager, created.ID, `for (i in 1:50000) cat(sprintf("%099d\n", i))`)
		require.Empty(t, failed.Value)
		require.Len(t, out, 5_000_000)
	})
}
