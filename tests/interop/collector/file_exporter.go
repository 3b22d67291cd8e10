// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// fileConfig is the configuration of the file exporter, under the key that contrib's exporter uses.
type fileConfig struct {
	Path string `mapstructure:"path"`
}

func (c *fileConfig) Validate() error {
	if c.Path == "" {
		return errors.New("path must be set")
	}
	return nil
}

// fileExporter appends each request to a file as one line of OTLP/JSON, before the sender hears OK.
// It has no queue: a test that was answered finds the line in the file.
type fileExporter struct {
	path  string
	mutex sync.Mutex
	file  *os.File
}

func (e *fileExporter) Start(context.Context, component.Host) error {
	file, err := os.OpenFile(e.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	e.file = file
	return err
}

func (e *fileExporter) Shutdown(context.Context) error {
	if e.file == nil {
		return nil
	}
	return e.file.Close()
}

func (e *fileExporter) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: false}
}

func (e *fileExporter) write(line []byte, err error) error {
	if err != nil {
		return err
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	_, err = e.file.Write(append(line, '\n'))
	return err
}

func (e *fileExporter) ConsumeTraces(_ context.Context, traces ptrace.Traces) error {
	return e.write((&ptrace.JSONMarshaler{}).MarshalTraces(traces))
}

func (e *fileExporter) ConsumeLogs(_ context.Context, logs plog.Logs) error {
	return e.write((&plog.JSONMarshaler{}).MarshalLogs(logs))
}

func (e *fileExporter) ConsumeMetrics(_ context.Context, metrics pmetric.Metrics) error {
	return e.write((&pmetric.JSONMarshaler{}).MarshalMetrics(metrics))
}

func newFileExporter(cfg component.Config) *fileExporter {
	return &fileExporter{path: cfg.(*fileConfig).Path}
}

func newFileFactory() exporter.Factory {
	return exporter.NewFactory(
		component.MustNewType("file"),
		func() component.Config { return &fileConfig{} },
		exporter.WithTraces(func(_ context.Context, _ exporter.Settings,
			cfg component.Config) (exporter.Traces, error) {
			return newFileExporter(cfg), nil
		}, component.StabilityLevelStable),
		exporter.WithLogs(func(_ context.Context, _ exporter.Settings,
			cfg component.Config) (exporter.Logs, error) {
			return newFileExporter(cfg), nil
		}, component.StabilityLevelStable),
		exporter.WithMetrics(func(_ context.Context, _ exporter.Settings,
			cfg component.Config) (exporter.Metrics, error) {
			return newFileExporter(cfg), nil
		}, component.StabilityLevelStable),
	)
}
