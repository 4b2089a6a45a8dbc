package display

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/stackctl/stackctl/pkg/runner/plan"
)

// Plan writes what a plan does and why, a line for each node, and a last line
// that counts them.
func Plan(w io.Writer, p *plan.Plan, style Style) error {
	var rows [][]string
	for _, n := range p.Nodes {
		ref := n.Op.Ref()
		why := n.Cause
		if n.Destructive {
			why += " (deletes data)"
		}
		rows = append(rows, []string{
			strconv.Itoa(n.ID), n.Op.Verb(), string(ref.Kind), shorten(p.Project, ref.Name), after(n.Needs), why,
		})
	}
	paint := func(row, column int, text string) string {
		switch {
		case row < 0:
			return style.Bold(text)
		case column == 1:
			return paintOp(style, p.Nodes[row], text)
		case column == 0 || column == 4:
			return style.Dim(text)
		}
		return text
	}
	if len(rows) > 0 {
		if err := Table(w, []string{"#", "ACTION", "KIND", "NAME", "AFTER", "WHY"}, rows, paint); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, summary(p))
	return err
}

func paintOp(style Style, n plan.Node, text string) string {
	switch n.Op.(type) {
	case plan.CreateNetwork, plan.CreateVolume, plan.CreateContainer, plan.StartContainer:
		return style.Green(text)
	case plan.ReplaceContainer, plan.RenameContainer, plan.PullImage, plan.BuildImage:
		return style.Yellow(text)
	case plan.StopContainer, plan.RemoveContainer, plan.RemoveNetwork, plan.RemoveVolume, plan.RemoveRemnants, plan.RemoveImage:
		return style.Red(text)
	}
	return text
}

func after(needs []int) string {
	out := make([]string, len(needs))
	for i, id := range needs {
		out[i] = strconv.Itoa(id)
	}
	return strings.Join(out, " ")
}

func summary(p *plan.Plan) string {
	switch changes := p.Changes(); {
	case p.Empty():
		return "nothing to do in project " + p.Project
	case changes == 0:
		return "nothing to change in project " + p.Project
	case changes == 1:
		return "1 change in project " + p.Project
	default:
		return fmt.Sprintf("%d changes in project %s", changes, p.Project)
	}
}
