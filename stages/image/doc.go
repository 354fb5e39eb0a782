// Package image reads images: PNG, JPEG, and IDX files.
// An Image is its pixels in bytes, the channels of a pixel side by side. The
// same file gives the same pixels on every machine; so does Resize, which
// computes in whole numbers.
//
// It refuses, with a message: what is neither PNG nor JPEG, what is damaged, and
// images of more than MostPixels.
//
// stages/images calls it.
package image
