package model

import (
	"math"
	"strings"
	"time"
)

// DatePart is a number that a date has.
type DatePart string

// The parts of dates.
const (
	Year    DatePart = "year"
	Quarter DatePart = "quarter" // 1 to 4
	Month   DatePart = "month"   // 1 to 12
	Day     DatePart = "day"     // of the month, from 1
	YearDay DatePart = "yearday" // from 1
	Weekday DatePart = "weekday" // 1, Monday, to 7, Sunday: ISO 8601
	Hour    DatePart = "hour"
	Minute  DatePart = "minute"
	// Days since the first of January 1970, with the time of the day as fraction.
	Days DatePart = "days"
)

// DateParts are all parts, in order.
func DateParts() []DatePart {
	return []DatePart{Year, Quarter, Month, Day, YearDay, Weekday, Hour, Minute, Days}
}

// dateLayouts are the forms of ISO 8601 that are read, after T is a space.
var dateLayouts = []string{
	time.DateOnly, time.DateTime, "2006-01-02 15:04", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04Z07:00", "2006-01-02 15:04:05Z0700", "20060102",
}

// parseDate returns the seconds since 1970 of what clock and calendar show
// where the text was written: a zone says no more than where that is.
func parseDate(text string) (seconds float64, ok bool) {
	text = strings.TrimSpace(text)
	if len(text) > 10 && (text[10] == 'T' || text[10] == 't') {
		text = text[:10] + " " + text[11:]
	}
	for _, layout := range dateLayouts {
		t, err := time.Parse(layout, text)
		if err == nil {
			_, zone := t.Zone()
			return float64(t.Unix() + int64(zone)), true
		}
	}
	return 0, false
}

// of returns the part of a date as parseDate gives it; NaN for NaN.
func (p DatePart) of(seconds float64) float64 {
	if math.IsNaN(seconds) {
		return seconds
	}
	t := time.Unix(int64(seconds), 0).UTC()
	v := 0
	switch p {
	case Year:
		v = t.Year()
	case Quarter:
		v = (int(t.Month()) + 2) / 3
	case Month:
		v = int(t.Month())
	case Day:
		v = t.Day()
	case YearDay:
		v = t.YearDay()
	case Weekday:
		v = (int(t.Weekday())+6)%7 + 1
	case Hour:
		v = t.Hour()
	case Minute:
		v = t.Minute()
	case Days:
		return seconds / 86400
	}
	return float64(v)
}

// columnOf returns the rows [from, to) of a column of numbers, or of parts of dates.
func columnOf(f *Frame, column string, part DatePart, from, to int) []float64 {
	if part == "" {
		return f.numbers(column)[from:to]
	}
	dates := f.dates(column)[from:to]
	out := make([]float64, len(dates))
	for i, v := range dates {
		out[i] = part.of(v)
	}
	return out
}

// name is the column's, with the part of a date after a point.
func (n Numeric) name() string {
	if n.Part == "" {
		return n.Column
	}
	return n.Column + "." + string(n.Part)
}
