package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) cleanCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "clean --yes",
		Short: "Remove every container, volume and image that cubby made on this engine",
		Long: `Remove every container, volume and image that cubby made on this engine, whichever server made it. Contexts, their
variables and their files are gone then. The state directory stays; its server lists its contexts as lost.`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return errors.New("this removes all contexts of all cubby servers of this engine with their files, and the images; " +
					"to do so: cubby clean --yes")
			}
			return a.withEngine(cmd.Context(), func(e engine) error {
				removed, err := e.RemoveAll(cmd.Context())
				_, printed := fmt.Fprintf(a.stdout, "removed %d containers, %d volumes, %d images\n",
					removed.Containers, removed.Volumes, removed.Images)
				return errors.Join(err, printed)
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "yes, remove them")
	return cmd
}
