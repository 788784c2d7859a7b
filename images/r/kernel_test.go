//go:build integration

// Package r tests the driver of R inside its image, under the real supervisor, in what the conformance kit does not cover.
package r

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/images"
	"cubby/images/imagetest"
	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

type want = imagetest.Want

var world = imagetest.World{Tag: images.Tag, Languages: []orchestrator.Language{{Name: "r"}}}

func TestMain(m *testing.M) { os.Exit(world.Main(m)) }

// boot creates a context, which is removed at the end of the test.
func boot(t *testing.T) *imagetest.Context {
	t.Helper()
	return world.Boot(t, orchestrator.CreateRequest{Language: "r"})
}

// tinyPackage makes the source of a package.
const tinyPackage = `dir.create("tiny/R", recursive = TRUE)
writeLines(c("Package: tiny", "Version: 1.0", "Title: T", "Description: D.", "License: none"), "tiny/DESCRIPTION")
writeLines("export(answer)", "tiny/NAMESPACE")
writeLines("answer <- function() 42", "tiny/R/answer.R")
suppressWarnings(tar("tiny_1.0.tar.gz", "tiny", compression = "gzip"))
cat(file.exists("R"))`

func TestPackagesGoToTheUsersOwnLibrary(t *testing.T) {
	c := boot(t)
	require.Equal(t, want{Out: "FALSE"}, c.Do(tinyPackage).Want(), "the library is made when it is used")
	require.Empty(t, c.Do(`install.packages("/home/user/tiny_1.0.tar.gz", repos = NULL)`).Errors)
	where := `cat(tiny::answer(), startsWith(find.package("tiny"), Sys.getenv("R_LIBS_USER")))`
	require.Equal(t, want{Out: "42 TRUE"}, c.Do(where).Want())
}

func TestNoDirectoryOfSomebodyElses(t *testing.T) {
	require.Equal(t, want{Main: `[1] ""`}, boot(t).Do(`Sys.getenv("PWD")`).Want())
}

func TestErrorOfMuchTextKeepsWhatFits(t *testing.T) {
	errs := boot(t).Do(`stop(simpleError(strrep("x", 2e7)))`).Errors
	require.Len(t, errs, 1)
	require.Equal(t, "Error", errs[0].Name)
	for _, text := range []string{errs[0].Value, errs[0].Traceback} {
		require.True(t, strings.HasPrefix(strings.TrimPrefix(text, "Error: "), "xxx"), "%.100s", text)
		require.Contains(t, text, " bytes left out]\n")
	}
}

func TestLateInterruptHitsNothing(t *testing.T) {
	c := boot(t)
	for range 5 {
		c.Do("invisible(tools::pskill(Sys.getpid(), tools::SIGINT))") // which it may hit itself
		require.Equal(t, want{Out: "42"}, c.Do("cat(41 + 1)").Want())
	}
}

func TestInterruptRaces(t *testing.T) {
	c := boot(t)
	for i := range 60 {
		c.InterruptAfter("for (i in 1:5) { cat('late'); Sys.sleep(0.004) }", kernel.TypeStarted, time.Duration(i%30)*time.Millisecond)
		for range 2 {
			require.Equal(t, want{Out: "mine"}, c.Do("cat('mine')").Want())
		}
	}
}

func TestMuchOutputIsWhole(t *testing.T) {
	r := boot(t).Do(`for (i in 1:50000) cat(sprintf("%099d\n", i))`)
	require.Empty(t, r.Errors)
	require.Len(t, r.Out, 5_000_000)
}
