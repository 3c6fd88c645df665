Feature: C16 to C23, what stops trading and who lets it go on

  @C16
  Scenario: a drawdown counts once it was confirmed
    Given Dealer sells 100 ETHER at 60000
    And Ann buys 100 ETHER at 60000
    And Ann buys 1 PERPETUAL at 59000 as "order"
    And Ann may fall 5 dollars from the highest, 2 publications in a row
    When the mark of ETHER becomes 59000
    And the mark of ETHER becomes 60000
    And the mark of ETHER becomes 59000
    Then Ann is OPEN
    When the marks are published again
    Then Ann is REDUCE_ONLY
    And "order" ended: DRAWDOWN 10000000 5000000
    When Ann buys 1 PERPETUAL at 59000
    Then it is refused: REDUCE_ONLY 1 0

  @C16
  Scenario: a height counts once it was confirmed, so one bad tick up is none
    Given Dealer sells 100 ETHER at 60000
    And Ann buys 100 ETHER at 60000
    And Ann may fall 5 dollars from the highest, 2 publications in a row
    When the mark of ETHER becomes 61000
    And the mark of ETHER becomes 60000
    And the marks are published again
    Then Ann is OPEN
    When the mark of ETHER becomes 61000
    And the marks are published again
    And the mark of ETHER becomes 60000
    And the marks are published again
    Then Ann is REDUCE_ONLY

  @C17
  Scenario: on old prices only reducing orders
    Given Dealer sells 5 PERPETUAL at 60000
    And Ann buys 5 PERPETUAL at 60000
    And prices older than 1000 ns are stale
    And the marks are published again
    When 1000 ns pass
    And Ann buys 1 PERPETUAL at 60000
    Then it is refused: STALE 1001 1000
    When Ann sells 5 PERPETUAL at 60000
    Then it is taken

  @C17
  Scenario: where mark and index are too far apart only reducing orders
    Given mark and index may be 250000 millionths apart
    When Ann buys 1 PERPETUAL at 60000
    Then it is refused: NO_PRICE 0 1
    Given the index of PERPETUAL becomes 47999
    When Ann buys 1 PERPETUAL at 60000
    Then it is refused: DIVERGENT 250026 250000
    When the index of PERPETUAL becomes 48000
    And Ann buys 1 PERPETUAL at 60000
    Then it is taken

  @C18
  Scenario: the strictest state holds, and cancels work in all of them
    Given Ann buys 1 PERPETUAL at 60000 as "order"
    And something sets the venue to REDUCE_ONLY
    And something sets underlying 0 to HALTED
    When Ann buys 1 FUTURE at 60000
    Then it is refused: INSTRUMENT_HALTED 2 1
    When Ann buys 1 ETHER at 60000
    Then it is refused: REDUCE_ONLY 1 0
    When Ann cancels "order"
    Then "order" ended: BY_OWNER 0 0
    When something sets the venue to OPEN
    Then it is refused: PEOPLE_REQUIRED 0 1
    When people set the venue to OPEN
    And Ann buys 1 ETHER at 60000
    Then it is taken

  @C18
  Scenario: an account halted with its desk
    Given desk Rates of Ann and Bea
    When something sets Rates to HALTED
    And Bea buys 1 PERPETUAL at 60000
    Then it is refused: ACCOUNT_HALTED 2 1
    When something sets the venue to HALTED
    And Bea buys 1 PERPETUAL at 60000
    Then it is refused: VENUE_HALTED 2 1

  @C19
  Scenario: the kill switch halts and cancels in one command
    Given Ann buys 1 PERPETUAL at 60000 as "hers"
    And Bea buys 1 ETHER at 60000 as "his"
    When the kill switch is thrown for underlying 0
    Then underlying 0 is HALTED
    And "hers" ended: KILLED 0 0
    And "his" has 1 left
    When the kill switch is thrown for Bea
    Then "his" ended: KILLED 0 0
    When Bea buys 1 ETHER at 60000
    Then it is refused: ACCOUNT_HALTED 2 1

  @C20
  Scenario: a lost connection takes the orders with it
    Given Ann buys 1 PERPETUAL at 60000 as "hers"
    When Ann loses the connection
    Then "hers" ended: DISCONNECTED 0 0

  @C20
  Scenario: a dead man's orders go
    Given Ann wants everything cancelled unless heard of within 100 ns
    And Ann buys 1 PERPETUAL at 60000 as "hers"
    When 98 ns pass
    Then nothing happens
    When 1 ns pass
    Then "hers" ended: DEAD_MAN 0 0

  @C21
  Scenario: a maker hit too hard is pulled out, and quotes again
    Given Ann protects its quotes in block 0: 60 dollars gross, 600 of delta, 0 of vega in 1000 ns, frozen 500 ns
    And Ann buys 20 PERPETUAL at 59999, as a quote as "bid"
    And Ann sells 20 PERPETUAL at 60001, as a quote as "ask"
    And Ann sells 1 PERPETUAL at 60002 as "plain"
    When Bea sells 10 PERPETUAL at 59999
    Then "bid" has 10 left
    When Bea buys 1 PERPETUAL at 60001
    Then "bid" ended: MAKER_PROTECTION 66000000 60000000
    And "ask" ended: MAKER_PROTECTION 66000000 60000000
    And "plain" has 1 left
    When Ann resets its protection in block 0
    And Ann buys 20 PERPETUAL at 59999, as a quote
    Then it is taken

  @C22
  Scenario: a price that runs away halts its contract, once that is confirmed
    Given PERPETUAL halts at a move beyond 10000 millionths in 10000 ns, 2 takers in a row
    And Dealer sells 1 PERPETUAL at 60000
    And Bea buys 1 PERPETUAL at 60000 as "hers"
    And Dealer sells 2 PERPETUAL at 60601
    When Bea buys 1 PERPETUAL at 60601
    Then PERPETUAL is OPEN
    When Bea buys 1 PERPETUAL at 60601
    Then PERPETUAL is HALTED
    When Ann buys 1 PERPETUAL at 60000
    Then it is refused: INSTRUMENT_HALTED 2 1

  @C23
  Scenario: below maintenance an account may only reduce, until the requirement is met
    Given Dealer sells 10 ETHER at 60000
    And Cat buys 10 ETHER at 60000
    And Cat withdraws all but 0 dollars of what is free
    When the mark of ETHER becomes 59000
    Then Cat is restricted
    When Cat buys 1 PERPETUAL at 60000
    Then it is refused: REDUCE_ONLY 1 0
    When Cat deposits 10 dollars
    Then Cat is restricted no longer

  Scenario: the venue of a contract that expired
    Given the year of expiry comes
    When Ann buys 1 FUTURE at 60000
    Then it is refused: EXPIRED 1000000000000000 now
