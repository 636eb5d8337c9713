// A dual-port RAM as one writes it by hand for yosys and Vivado: each port writes lanes or reads, with a clock of its own.
module dual_port_ram_by_hand #(
  parameter int WIDTH = 64,
  parameter int DEPTH = 4096,
  parameter int LANES = 8
) (
  input  logic                     a_clock,
  input  logic [$clog2(DEPTH)-1:0] a_address,
  input  logic [WIDTH-1:0]         a_write_data,
  input  logic [LANES-1:0]         a_write,
  input  logic                     a_read,
  output logic [WIDTH-1:0]         a_read_data,
  input  logic                     b_clock,
  input  logic [$clog2(DEPTH)-1:0] b_address,
  input  logic [WIDTH-1:0]         b_write_data,
  input  logic [LANES-1:0]         b_write,
  input  logic                     b_read,
  output logic [WIDTH-1:0]         b_read_data
);
  localparam int LANE = WIDTH / LANES;

  (* ram_style = "block", no_rw_check *) logic [WIDTH-1:0] words [0:DEPTH-1];

  always @(posedge a_clock) begin
    for (int i = 0; i < LANES; i++) begin
      if (a_write[i]) words[a_address][i*LANE +: LANE] <= a_write_data[i*LANE +: LANE];
    end
    if (a_read && a_write == '0) a_read_data <= words[a_address];
  end

  always @(posedge b_clock) begin
    for (int i = 0; i < LANES; i++) begin
      if (b_write[i]) words[b_address][i*LANE +: LANE] <= b_write_data[i*LANE +: LANE];
    end
    if (b_read && b_write == '0) b_read_data <= words[b_address];
  end
endmodule
