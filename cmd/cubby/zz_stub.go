package main

import "github.com/spf13/cobra"

func (a *app) serveCommand() *cobra.Command  { return &cobra.Command{Use: "serve"} }
func (a *app) ctxCommand() *cobra.Command    { return &cobra.Command{Use: "ctx"} }
func (a *app) runCommand() *cobra.Command    { return &cobra.Command{Use: "run"} }
func (a *app) imagesCommand() *cobra.Command { return &cobra.Command{Use: "images"} }
func (a *app) doctorCommand() *cobra.Command { return &cobra.Command{Use: "doctor"} }
func (a *app) cleanCommand() *cobra.Command  { return &cobra.Command{Use: "clean"} }
