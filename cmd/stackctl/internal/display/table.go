package display

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Table writes rows in columns that are as wide as they have to be. Columns of
// which no row has anything are left out. A cell's colour, when there is one, is
// put on by paint, which gets the row and column as they were given; -1 is the
// header's row.
func Table(w io.Writer, header []string, rows [][]string, paint func(row, column int, text string) string) error {
	widths := make([]int, len(header))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	write := func(n int, row []string) {
		line := ""
		for i, cell := range row {
			if widths[i] == 0 {
				continue
			}
			text := cell
			if paint != nil {
				text = paint(n, i, cell)
			}
			line += text + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	if header[0] != "" {
		for i, cell := range header {
			if widths[i] > 0 {
				widths[i] = max(widths[i], utf8.RuneCountInString(cell))
			}
		}
		write(-1, header)
	}
	for n, row := range rows {
		write(n, row)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
