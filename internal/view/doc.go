// Package view writes what commands have to say: plans, the progress of an
// apply, diagnostics, what is recorded, differences. It has one renderer for
// people and one for programs over the same values.
//
// A renderer gets values and a place to write to; it opens no project, reads no
// flags and decides nothing. What people see is wrapped to the width of their
// terminal and means the same without colour. What programs see is JSON whose
// fields are added to, never changed.
package view
